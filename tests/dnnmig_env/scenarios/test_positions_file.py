"""Files of positions: both formats read, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dnnmig_env.scenarios.positions_file import load_positions

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "town.fcd.xml"

XML = """<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<fcd-export xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
    <timestep time="0.00">
        <vehicle id="a" x="1.5" y="-2" angle="90.00" type="car" speed="3.00" pos="5.10" lane="12_0" slope="0.00"/>
    </timestep>
    <timestep time="1.00">
        <vehicle id="a" x="30" y="0"/>
        <person id="a" x="5e1" y="7"/>
        <container id="box" x="0" y="0"/>
    </timestep>
    <timestep time="2.00"/>
    <timestep time="3.00"><person id="a" x="50" y="8"/></timestep>
</fcd-export>
"""


def written(folder: Path, text: str, name: str = "positions.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "time,user,x,y\n0,a,1.5,-2\n1,a,30,0\n1,b,50,7\n3,b,50,8\n",
        "# a comment\n\ny; x; user; time\n7;50;b;1\n-2;1.5;a;0\n8;50;b;3\n0;30;a;1\n",
        '\ufeff"Time","User","speed","X","Y"\r\n0,"a",7,1.5,-2\r\n1,a,,3e1,0\r\n1,b,7,50.,7\r\n3,b,7,50,8\r\n',
        "time\tuser\tx\ty\n0\ta\t1.5\t-2\n1\ta\t30\t0\n1\tb\t50\t7\n3\tb\t50\t8\n",
        "time user x y\n0  a 1.5 -2\n1 a 30 0\n1 b 50 7\n3 b 50 8",
        XML,
        "\n" + XML.split("\n", 1)[1],
    ],
    ids=["plain", "semicolons and another order", "byte order mark", "tabs", "blanks", "XML", "no XML declaration"],
)
def test_positions_are_read(tmp_path: Path, text: str) -> None:
    found = load_positions(written(tmp_path, text))
    assert found.users == (("vehicle a", "person a") if "<" in text else ("a", "b"))
    assert [np.asarray(times).tolist() for times in found.times_s] == [[0, 1], [1, 3]]
    assert [np.asarray(places).tolist() for places in found.positions_m] == [[[1.5, -2], [30, 0]], [[50, 7], [50, 8]]]


def test_the_example_of_sumo_is_read() -> None:
    found = load_positions(EXAMPLE)
    assert len(found.users) == 72
    assert found.users[:2] == ("vehicle car0", "person walker0")
    assert found.first_s[0] == 0 and np.all(np.diff(found.first_s) >= 0)
    assert found.last_s.max() == 896
    np.testing.assert_array_equal(np.asarray(found.positions_m[0])[:2], [[141.9, 321.4], [198.9, 309.2]])


def step(inside: str, time: str = 'time="0"') -> str:
    return f"<fcd-export>\n<timestep {time}>\n{inside}\n</timestep>\n</fcd-export>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"positions .*positions\.csv: it is empty; give a CSV file or floating-car data"),
        ("# nothing\n", r"line 1: there are only comments; begin with a header"),
        ("time,user,x\n", r"csv, line 1: the columns are 'time,user,x'; a header names time, user, x and y, once each"),
        ("time,user,x,y,x\n", r"line 1: the columns are 'time,user,x,y,x'; a header names"),
        ("0,a,1,2\n", r"line 1: the columns are '0,a,1,2'; a header names"),
        ("# c\ntime,user,x,y\n", r"line 2: no row follows the header; give at least one position"),
        ("time,user,x,y\n0,a,1\n", r"line 2: '0,a,1' has 3 cells, not 4 as the header"),
        ("time,user,x,y\n0,,1,2\n", r"line 2: '0,,1,2' names no user; give each user a name"),
        ("time,user,x,y\n0,a,1,2\n\n1,a,one,2\n", r"line 4: x is 'one'; give finite metres, at most 1e\+07 from 0"),
        ("time,user,x,y\n0,a,1,nan\n", r"line 2: y is 'nan'; give finite metres"),
        ("time,user,x,y\n0,a,2e7,1\n", r"line 2: x is '2e7'; give finite metres"),
        ("time,user,x,y\n-1,a,1,2\n", r"line 2: time is '-1'; give seconds, not negative and at most 1e\+12"),
        ("time,user,x,y\n12:30,a,1,2\n", r"line 2: time is '12:30'; give seconds"),
        (
            "time,user,x,y\n0,a,1,2\n5,b,1,2\n3,a,1,2\n3,a,1,2\n",
            r"line 5: time 3 of user 'a' does not exceed 3; sort each user's records by time, one for each time",
        ),
        ("time,user,x,y\n0,a,9.99,48.1\n5,a,9.98,48.2\n", r"all lie within 0\.01 x 0\.1; give metres, .* not degrees"),
        (
            "<fcd-export>\n<timestep time='0'>\n",
            r"line 3: it is not well-formed XML \(no element found\); let SUMO end",
        ),
        ("<fcd-export>\n<timestep></fcd-export>", r"line 2: <timestep> has no time; let SUMO write it"),
        ("<routes>\n</routes>", r"line 1: the file begins with <routes>; give what sumo --fcd-output wrote"),
        ("<fcd-export>\n</fcd-export>\n", r"line 3: no vehicle or person in the whole file; give at least one"),
        ("<fcd-export>\n<vehicle id='a' x='1' y='2'/></fcd-export>", r"line 2: <vehicle> stands in no <timestep>"),
        (step("<vehicle x='1' y='2'/>"), r"line 3: <vehicle> has no id; every vehicle and person needs one"),
        (step("<person id='a' x='1'/>"), r"line 3: <person> has no y; let SUMO write it \(--fcd-output.attributes\)"),
        (step("<person id='a' x='1' y='inf'/>"), r"line 3: y is 'inf'; give finite metres"),
        (step("<person id='a' x='1' y='1'/>", 'time="soon"'), r"line 2: time is 'soon'; give seconds"),
        (
            step("<person id='a' x='1' y='1'/>\n<person id='a' x='1' y='1'/>"),
            r"line 4: time 0 of user 'person a' does not exceed 0; sort",
        ),
        ("<!DOCTYPE fcd-export [<!ENTITY a 'b'>]>\n<fcd-export/>", r"line 1: <!DOCTYPE fcd-export> is not read; leave"),
    ],
)
def test_errors_say_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_positions(written(tmp_path, text))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"positions .*no-such\.csv: No such file or directory; give an existing CSV"):
        load_positions(tmp_path / "no-such.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"binary\.csv: it is not UTF-8 text"):
        load_positions(tmp_path / "binary.csv")
