"""An HTTP server for fragments and files, which can also fail on purpose.

This package itself imports nothing, so that its parts cost only what they need: ``faults`` and
``files`` load without aiohttp; ``run`` starts a server.
"""
