"""Files and folders of this machine, below all that knows pieces or networks."""
