"""Do crops of many sizes beat patches of one size?

python -m study.run --space search_spaces/mini/crops_vs_patches.py --preset mini
"""

from search_spaces.mini._claim import claim
from search_spaces.paper._recipes import CROP, PATCH

STUDY = claim(
    name="crops_vs_patches",
    question="Do crops of many sizes make a more robust encoder than patches of one size?",
    arms={"16 patches": PATCH, "16 crops": CROP},
)
