"""How Keel's processes start, hear and outlive each other: the step in a process of its own, and the Pulumi engine it works for."""
