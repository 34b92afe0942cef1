"""Every test that docs/threat-model.md names is there: a control whose test is gone is not held."""

import re
import unittest

from support import ROOT


class References(unittest.TestCase):
    def test_every_test_of_the_threat_model_exists(self):
        rows = [line for line in (ROOT / "docs/threat-model.md").read_text().splitlines() if re.match(r"\| \d+ \|", line)]
        self.assertGreater(len(rows), 15)
        sources = {path: path.read_text() for path in (ROOT / "Tests").rglob("*") if path.suffix in (".swift", ".py")}
        targets = (ROOT / "scripts/fuzz").read_text()
        for row in rows:
            held = row.split("|")[3]
            names = re.findall(r"`([^`]+)`", held)
            self.assertTrue(names, row)
            for name in names:
                name = name.split(" ")[0]
                if name.startswith(("Tests/", "scripts/")) or name.endswith(".py"):
                    places = [ROOT / name, ROOT / "Tests/EndToEnd" / name]
                    self.assertTrue(any(place.exists() for place in places), name)
                elif "/" in name:
                    folder, suite = name.split("/")
                    self.assertTrue(
                        any(path.parent.name == folder and (path.stem == suite or f"struct {suite} " in text)
                            for path, text in sources.items()), name)
                elif (ROOT / "Tests" / name).is_dir():
                    continue
                else:
                    found = any(name in text for text in sources.values())
                    self.assertTrue(found or re.search(rf"\b{re.escape(name)}\b", targets), name)


if __name__ == "__main__":
    unittest.main()
