"""What reading costs: bytes received beside the bytes that a library asks for."""
