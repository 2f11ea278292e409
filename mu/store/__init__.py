"""Where a job's objects are: a folder here, a bucket there. Objects never change; whoever writes one twice writes the
same bytes.

Whatever a program is killed in the middle of, an object is there whole or not at all.
"""

from mu.store.address import open_store
from mu.store.names import LARGEST_OBJECT, Store, check_name

__all__ = ["LARGEST_OBJECT", "Store", "check_name", "open_store"]
