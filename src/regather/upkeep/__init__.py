"""Looking after what is hosted: check finds what is missing or corrupt, repair re-creates it.

sources            what a manifest names, and what each source should hold
report             what is found and told
verdict            pure: from findings on copies to a verdict on sets and file
inspection         asks and reads: check()
repair_plan        what is to be restored, at which source
rows, staging      pieces out of good copies, or decoded; rebuilt fragments on their way
restoration        what must be restored, and where: repair()
manifest_update    the manifest, where sources changed

Memory: one buffer a source when checking, one row when repairing, whatever the size of the file.
"""
