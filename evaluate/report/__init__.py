"""The command `report`: results of `python -m evaluate` as one page that opens in any browser, without a network.

`reading` reads the folder of an evaluation, `episodes` replays its plans, `charts` draws what can be hovered and zoomed
(Bokeh), and `page` fills the template page.html.
"""
