"""Metalinks (RFC 5854), and what servers say in the same spirit in heads (RFC 6249, 9530).

Bytes to values and back, without any I/O; ``sources`` makes layouts of them. Most downloads need
none of it, so each module is imported by itself.
"""
