"""What happened when a plan was carried out.

`timeline` holds all that happened, with all figures of merit; `upload_interval` is one upload in it, `query_detail` one
query layer by layer, and `usage` tells how heavily queries use devices, servers and links.
"""
