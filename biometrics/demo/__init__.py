"""A pilot in a box: the real server, real certificates, galleries of known truth."""
