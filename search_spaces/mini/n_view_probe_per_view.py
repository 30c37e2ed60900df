"""Does averaging features over many views help where each view is attacked by itself, as the paper does?

python -m study.run --space search_spaces/mini/n_view_probe_per_view.py --preset mini
"""

from search_spaces.mini._claim import claim

STUDY = claim(
    name="n_view_probe_per_view",
    question="If each view is attacked by itself, is a probe on 16 views more robust than a plain one on the image?",
    arms={
        "plain probe on the image": {"probe": "central"},
        "probe on 16 views": {"probe": "n_views", "probe_views": 16, "probe_threat": "per_view"},
    },
)
