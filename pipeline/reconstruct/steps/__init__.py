"""The stages, one file each; all are datatrove pipeline steps that pass chunks on."""
