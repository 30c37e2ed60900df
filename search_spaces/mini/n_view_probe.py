"""Does averaging features over many views help where the image is attacked, not each view?

python -m study.run --space search_spaces/mini/n_view_probe.py --preset mini
"""

from search_spaces.mini._claim import claim

STUDY = claim(
    name="n_view_probe",
    question="If the image is attacked, is a probe on the features of 16 views more robust than one on the image?",
    arms={
        "plain probe on the image": {"probe": "central"},
        "probe on 16 views": {"probe": "n_views", "probe_views": 16, "probe_threat": "image"},
    },
)
