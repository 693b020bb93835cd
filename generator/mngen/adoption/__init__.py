"""From what there is already to a spec: files for the AWS CLI, or an account.

Readers give an `Inventory`, whose objects have the form in which the Batch API describes them. A
pure mapping makes of it a spec, a report with one line for each value, and the Terraform that takes
over queues and job definitions. `adopt` does all of it and writes nothing; `save` writes all files
or none. `Finish` deletes the old compute environments in the end.
"""

from mngen.adoption._account import look_up, read_account
from mngen.adoption._adopt import Adoption, Wishes, adopt, region_of_inventory
from mngen.adoption._cluster import read_cluster
from mngen.adoption._finish import LONGEST_WAIT, Fate, Finish, Leftover, Part
from mngen.adoption._inventory import FileSystem, Inventory, Network, Subnet
from mngen.adoption._item import Item
from mngen.adoption._json import read_json
from mngen.adoption._lines import Line, Outcome, Place
from mngen.adoption._record import RECORD, OldEnvironment, Record, read_record
from mngen.adoption._report import line_text
from mngen.adoption._save import save
from mngen.adoption._terraform import read_state, read_terraform

__all__ = [
    "LONGEST_WAIT",
    "RECORD",
    "Adoption",
    "Fate",
    "FileSystem",
    "Finish",
    "Inventory",
    "Item",
    "Leftover",
    "Line",
    "Network",
    "OldEnvironment",
    "Outcome",
    "Part",
    "Place",
    "Record",
    "Subnet",
    "Wishes",
    "adopt",
    "line_text",
    "look_up",
    "read_account",
    "read_cluster",
    "read_json",
    "read_record",
    "read_state",
    "read_terraform",
    "region_of_inventory",
    "save",
]
