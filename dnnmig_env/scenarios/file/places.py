"""Where users and servers are according to a scenario's file: positions, and the cells of users."""

from __future__ import annotations

import numpy as np

from dnnmig_env.arrays import Floats, Ints
from dnnmig_env.files.strict_model import inside
from dnnmig_env.scenarios.file.frame import Frame, index_of, table_of
from dnnmig_env.scenarios.file.schema import ScenarioForm
from dnnmig_env.scenarios.scenario import Mobility


def homes_of(form: ScenarioForm, frame: Frame) -> Ints | None:
    """Return the server in whose cell each user is, shape (T, U); None if no user says it."""
    homes = [user.home for user in form.users]
    if all(home is None for home in homes):
        return None
    slots, columns = len(frame.starts_s), []
    for user_index, home in enumerate(homes):
        place = f"users[{user_index}].home"
        if home is None:
            raise ValueError(f"{place}: missing; other users have one, so say in which server's cell each user is.")
        names = home if isinstance(home, list) else [home] * slots
        if len(names) != slots:
            raise ValueError(f"{place}: {len(names)} names for {slots} time slots; give one name or one per slot.")
        columns.append([1 + index_of(place, "server", name, frame.servers) for name in names])
    return np.array(columns).T


def mobility_of(form: ScenarioForm, frame: Frame) -> Mobility | None:
    """Return where everybody is; None if the file does not say it."""
    if form.mobility is None:
        return None
    users, tracks = [user.name for user in form.users], form.mobility.users
    for name in tracks:
        index_of("mobility.users", "user", name, users)
    positions, velocities = [], []
    for name in users:
        place = inside("mobility.users", name)
        if name not in tracks:
            raise ValueError(f"{place}: missing; say where each user is.")
        positions.append(_track(f"{place}.positions_m", tracks[name].positions_m, frame))
        given = tracks[name].velocities_m_per_s
        velocities.append(
            _velocities(positions[-1], frame) if given is None else _track(f"{place}.velocities_m_per_s", given, frame)
        )
    places = np.full((len(frame.servers), 2), form.mobility.area_m / 2)
    for name, point in form.mobility.servers.items():
        server = index_of("mobility.servers", "server", name, frame.servers)
        places[server] = table_of(inside("mobility.servers", name), [point], (1, 2), "x and y")[0]
    return Mobility(np.stack(positions, axis=1), np.stack(velocities, axis=1), places, form.mobility.area_m)


def _track(place: str, value: list[float] | list[list[float]], frame: Frame) -> Floats:
    slots = len(frame.starts_s)
    rows = value if value and isinstance(value[0], list) else [value] * slots
    return table_of(place, rows, (slots, 2), "x and y, once or per slot")


def _velocities(positions_m: Floats, frame: Frame) -> Floats:
    """Return velocities that lead straight from each slot's place to the next one's; the last is repeated once."""
    if len(positions_m) == 1:
        return np.zeros_like(positions_m)
    moving = np.diff(positions_m, axis=0) / np.diff(frame.starts_s)[:, np.newaxis]
    return np.concatenate([moving, moving[-1:]])
