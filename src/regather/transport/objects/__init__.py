"""Objects of stores like S3, through obstore (the extra ``stores``), which is imported when used.

address     s3://bucket/key, and what is wrong with one
options     what the user sets: --store-option, for all stores or for some
aws         what AWS's own environment and files say
clients     an obstore client for each bucket, shared by all connections
failures    what obstore raises, as failures of ours
loop        the event loop that obstore runs in
pump        bodies that arrive in it
connection  ranges of objects: see Connection
upload      objects stored: see Store

Options and credentials come from the user alone: no manifest, redirect or server names an endpoint.
"""

import importlib.util


def installed() -> bool:
    """Whether obstore is there; does not import it."""
    return importlib.util.find_spec("obstore") is not None
