"""Every bound family, one file each; importing this package fills the catalogue."""
