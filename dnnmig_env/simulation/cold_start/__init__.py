"""Cold start: the delay of one query per user that is raised at time 0 and waits for layers still being uploaded.

Begin with `cold_start`, which says what is computed, for parallel and for serial uploading. `cold_query` holds the
arithmetic of a single such query: when its layers run, its tensors travel and its weights arrive.
"""
