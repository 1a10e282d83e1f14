"""A measured profile whose delays can be added up in the head, as a file.

At 80 Mbps, 10 MiB take 1 s and each tensor 50 ms. `a` and its weightless `relu` take 500 ms on the client, `b` and `c`
500 ms each; on the server 30, 20 and 20 ms. Delays: client alone 1500 ms, with `a` 50 + 30 + 50 + 1000 = 1130 ms,
with `a` and `b` 650 ms, with everything 50 + 70 + 50 = 170 ms. Uploads take 1, 4 and 4 s.
"""

from __future__ import annotations

from pathlib import Path

TINY = """\
block,last_layer,n_layers,in_bytes,out_bytes,weight_bytes,client_ms_odroid,server_ms_gpu
0,a,1,524288,524288,10485760,400,20
1,relu,1,524288,524288,0,100,10
2,b,1,524288,524288,41943040,500,20
3,c,2,524288,524288,41943040,500,20
"""


def write_profiles(folder: Path, text: str = TINY, name: str = "tiny") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.csv").write_text(text)
    return folder
