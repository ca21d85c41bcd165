"""What a tenant's people made, as files that a group can keep in version control: shared reports, shared queries,
targets and alerts.

files     the YAML files: their models, reading with lines, writing
compare   what an import would change, and what is wrong with it
desk      export and import by an administrator, audited
"""

from serving.content.compare import Change, Plan
from serving.content.desk import ContentDesk
from serving.content.files import Content

__all__ = ["Change", "Content", "ContentDesk", "Plan"]
