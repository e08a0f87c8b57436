"""Six photographs of good bricks are all it gets: which of the others are anomalous, and where?

python -m demos.detect
"""

from pathlib import Path

import inctrl

IMAGES = Path(__file__).parent / "images" / "brick"


def main() -> None:
    fitted = inctrl.Inspector.load().fit(sorted((IMAGES / "normal").glob("*.png")))
    for result in fitted.inspect(sorted((IMAGES / "query").glob("*.png"))):
        places = [f"({r.box.left}, {r.box.top})" for r in result.regions]
        print(f"{result.verdict:10} {result.score:.3f}  {Path(result.name).name:12}", *places)


if __name__ == "__main__":
    main()
