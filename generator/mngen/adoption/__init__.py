"""From what there is already to a spec: a cluster file of ParallelCluster.

A reader gives an `Inventory`; a pure mapping makes of it a spec and a report with one line for each
value. `adopt` does all of it and writes nothing; `save` writes all files or none.
"""

from mngen.adoption._account import look_up
from mngen.adoption._adopt import Adoption, Wishes, adopt
from mngen.adoption._cluster import read_cluster
from mngen.adoption._inventory import Inventory, Network, Subnet
from mngen.adoption._item import Item
from mngen.adoption._lines import Line, Outcome, Place
from mngen.adoption._report import line_text
from mngen.adoption._save import save

__all__ = [
    "Adoption",
    "Inventory",
    "Item",
    "Line",
    "Network",
    "Outcome",
    "Place",
    "Subnet",
    "Wishes",
    "adopt",
    "line_text",
    "look_up",
    "read_cluster",
    "save",
]
