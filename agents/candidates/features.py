"""The table of features that an agent sees of a situation and of each candidate.

In these texts, "A by B" means A divided by B; the greatest efficiency is that of the most efficient interval of any
user and server.
"""

from __future__ import annotations

from dnnmig_env.envs.features import Feature, names

SITUATION = (
    Feature("horizon_left", "share of the horizon that is left", "1", "x"),
    Feature("slot_left", "share of the time slot that is left", "1", "x"),
    Feature("log_horizon_left", "time until the horizon", "s", "(log10 x - 1) / 2"),
    Feature("changing", "1 if rates change, that is, with more than one time slot", "1", "x"),
    Feature("users", "number of users who are present", "1", "min(x / 8, 1)"),
    Feature(
        "log_best_saving", "what the most efficient interval saves by the end, by the delay now", "1", "log10 x / 3"
    ),
    Feature("delay_ratio", "delay of all users now by that on their devices alone", "1", "min(x, 1)"),
    Feature("weights_left", "share of all weights that are not uploaded yet", "1", "x"),
    Feature("last_slots", "number of slots that are left, this one included", "1", "1 / x"),
    Feature("soon", "greatest efficiency as expected soon by that now", "1", "log10 x"),
    Feature("later", "greatest efficiency as expected until the horizon by that now", "1", "log10 x"),
    Feature("done", "1 if the reference plan has nothing to upload now", "1", "x"),
    Feature("newcomers", "expected delay share of users who have not arrived yet", "1", "x"),
)
"""Features that all candidates of a moment share."""
CANDIDATE = (
    Feature("action", "number of the action from 1 on, 0 = no candidate", "1", "x / A"),
    Feature("interval", "efficiency of the best interval that begins here by the greatest one", "1", "1 + ln x / 10"),
    Feature("layer_efficiency", "efficiency of this layer alone by the greatest one", "1", "1 + ln x / 10"),
    Feature(
        "smallest_useful",
        "efficiency of the best interval of this user and server by the greatest one, if that interval's smallest "
        "useful sub-interval begins here; else 0",
        "1",
        "1 + ln x / 10",
    ),
    Feature("soon_interval", "`interval` under the rates that are expected soon", "1", "1 + ln x / 10"),
    Feature("soon_smallest_useful", "`smallest_useful` under the rates that are expected soon", "1", "1 + ln x / 10"),
    Feature("later_interval", "`interval` until the horizon, uploaded at the present rate", "1", "1 + ln x / 10"),
    Feature("later_smallest_useful", "`smallest_useful` until the horizon", "1", "1 + ln x / 10"),
    Feature("log_interval_upload", "time to upload the interval by the time left", "1", "(log10 x + 1) / 2"),
    Feature("log_layer_upload", "time to upload the layer by the time left", "1", "(log10 x + 1) / 2"),
    Feature("interval_saving", "what the interval saves by the user's delay now", "1", "min(x, 1)"),
    Feature("rate_soon", "rate to the server that is expected soon by that now", "1", "log10 x"),
    Feature("rate_later", "rate to the server that is expected until the horizon by that now", "1", "log10 x"),
    Feature("rank", "place of the upload in the reference plan, from 1 on", "1", "1 / x; 0 if it is not in it"),
    Feature("as_planned", "1 if the plan has the layer on this server, -1 if on another one, else 0", "1", "x"),
    Feature(
        "gain", "share of all cost saved if the interval comes before the rest of the plan", "1", "signed root of x"
    ),
    Feature("before", "1 if the layer before is on this server", "1", "x"),
    Feature("after", "1 if the layer after is on this server", "1", "x"),
    Feature("latest", "1 if the latest upload was this user's, to this server", "1", "x"),
    Feature("runs_here", "share of the user's execution that is on this server now", "1", "x"),
    Feature("runs_elsewhere", "share of the user's execution that is on other servers now", "1", "x"),
    Feature("stored_here", "share of the user's weights that this server holds", "1", "x"),
    Feature("stored_elsewhere", "share of the user's weights that other servers hold", "1", "x"),
    Feature("query_share", "the user's query rate by that of all users", "1", "x"),
    Feature("delay_ratio", "delay of the user's queries now by that on the device alone", "1", "min(x, 1)"),
    Feature("log_device_delay", "delay of a query on the device alone", "s", "(log10 x + 0.5) / 2"),
    Feature("weights_left", "share of the user's weights that are not uploaded yet", "1", "x"),
    Feature("execution_share", "seconds of the layer on the device by the delay on the device alone", "1", "min(x, 1)"),
    Feature("log_weight", "weights of the layer", "bytes", "(log10 x - 6) / 3"),
    Feature("log_output", "output of the layer", "bytes", "(log10 x - 5.5) / 2"),
    Feature("log_input", "what the layer reads", "bytes", "(log10 x - 5.5) / 2"),
    Feature("load_of_others", "mean number of the other users' queries on the server", "1", "min(x, 1)"),
    Feature(
        "log_speedup", "seconds of the whole network on the device by those on the server", "1", "(log10 x - 1) / 2"
    ),
    Feature("log_up_rate", "rate from the device to the server", "bytes/s", "(log10 x - 6.5) / 2"),
    Feature("latency_ratio", "latency to the server and back by the delay on the device alone", "1", "min(x, 1)"),
    Feature("memory_left_for_user", "memory left by the user's weights that are not uploaded yet", "1", "min(x, 1)"),
    Feature("memory_left_for_all", "memory left by all weights that are not uploaded yet", "1", "min(x, 1)"),
    Feature(
        "log_line",
        "rate to here from the server that runs most of the user's layers by the access rate",
        "1",
        "log10 x / 2",
    ),
    Feature("saving_share", "what the interval saves by the delay of all users", "1", "min(x, 1)"),
    Feature("interval_arrival", "expected time until the interval has arrived by the time left", "1", "min(x, 1)"),
    Feature("layer_arrival", "expected time until the layer has arrived by the time left", "1", "min(x, 1)"),
    Feature("stay", "share of the horizon for which the user has been present", "1", "x"),
)
"""Features of each candidate."""
SITUATION_FEATURES, CANDIDATE_FEATURES = names(SITUATION), names(CANDIDATE)
SITUATION_WIDTH, CANDIDATE_WIDTH = len(SITUATION), len(CANDIDATE)

REFERENCE_FEATURES = ("rank", "as_planned", "gain", "done")
"""The features that tell of the reference plan."""
