"""How much compute searches need on tables made by others; peers run through their own packages and Pythons.

``tables``: what is searched, and how good its rows are. ``simulation``: a search on a clock with several workers.
``own_search``: ours, through the whole engine; ``foreknowledge``: with beliefs and earlier studies.
``peer_process`` and ``peers/``: the others, one process each. ``targets``: what random search reaches. ``results``: the
file of runs. ``run`` adds runs to it, ``measures`` and ``show`` judge them.
"""
