"""What is linked into a program: a bill of materials (CycloneDX 1.6) and the licences' texts.

    bill_of_materials.py sbom PRODUCT VERSION SCRATCH     CycloneDX JSON
    bill_of_materials.py notices PRODUCT SCRATCH          LICENSE and NOTICE of each package

PRODUCT is packet-agent or packet-control; SCRATCH is SwiftPM's scratch path, whose resolved versions and checkouts are used.
The list has no time and no serial number of chance, so that the same sources give the same bytes.
"""

import functools
import json
import pathlib
import re
import subprocess
import sys
import uuid

# In Swift's toolchain and the sysroot of scripts/release-sysroot, linked statically.
SWIFT_LICENCE = {"expression": "Apache-2.0 WITH Swift-exception"}
GCC_LICENCE = {"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}


def swift(*arguments):
    return subprocess.run(["swift", *arguments], check=True, capture_output=True, text=True).stdout


def direct_packages(product):
    """The packages that a product's targets name, through all of the rooms it is made of."""
    targets = {t["name"]: t["dependencies"] for t in json.loads(swift("package", "dump-package"))["targets"]}
    rooms, packages, waiting = set(), set(), [product]
    while waiting:
        room = waiting.pop()
        if room in rooms:
            continue
        rooms.add(room)
        for dependency in targets[room]:
            if "product" in dependency:
                packages.add(dependency["product"][1].lower())
            else:
                waiting.append((dependency.get("byName") or dependency["target"])[0])
    return packages


class Packages:
    """The resolved packages below a product."""

    def __init__(self, product, scratch):
        tree = json.loads(swift("package", "--scratch-path", scratch, "show-dependencies", "--format", "json"))
        self.direct = sorted(direct_packages(product))
        known = {}

        def gather(node):
            # Printed in full at its first place in the tree only.
            entry = known.setdefault(node["identity"], dict(node, dependencies=[]))
            entry["dependencies"] = entry["dependencies"] or node["dependencies"]
            for child in node["dependencies"]:
                gather(child)

        gather(tree)
        self.found, waiting = {}, list(self.direct)
        while waiting:
            identity = waiting.pop()
            if identity not in self.found:
                self.found[identity] = known[identity]
                waiting += [child["identity"] for child in known[identity]["dependencies"]]

    def __iter__(self):
        return iter(sorted(self.found.values(), key=lambda package: package["identity"]))


def licence_file(package):
    return next(p for p in sorted(pathlib.Path(package["path"]).glob("LICENSE*")))


def licence(package):
    text = licence_file(package).read_text()
    if "Apache License" in text:
        return {"license": {"id": "Apache-2.0"}}
    if "Permission is hereby granted, free of charge" in text:
        return {"license": {"id": "MIT"}}
    raise SystemExit(f"bill_of_materials.py: the licence of {package['identity']} is not known; add it")


def reference(package):
    path = re.sub(r"^https?://|\.git$", "", package["url"])
    return f"pkg:swift/{path}@{package['version']}"


# C libraries that packages carry as source under another name, and the file that says of which version.
VENDORED = [
    ("boringssl", "pkg:github/google/boringssl", "Sources/*BoringSSL/hash.txt", r"revision ([0-9a-f]{40})"),
    ("zlib", "pkg:github/madler/zlib", "Sources/*Zlib/**/*zlib.h", r'define \w*ZLIB_VERSION "([0-9.]+)'),
    ("llhttp", "pkg:github/nodejs/llhttp", "Sources/*LLHTTP/**/*llhttp.h",
     r"define LLHTTP_VERSION_MAJOR (\d+)\s+#define LLHTTP_VERSION_MINOR (\d+)\s+#define LLHTTP_VERSION_PATCH (\d+)"),
]


def vendored(package):
    for name, purl, pattern, version in VENDORED:
        for file in sorted(pathlib.Path(package["path"]).glob(pattern)):
            if found := re.search(version, file.read_text()):
                number = ".".join(found.groups())
                yield {
                    "type": "library", "bom-ref": f"{reference(package)}#{name}", "name": name, "version": number,
                    "purl": f"{purl}@{number}", "description": f"Source within {package['identity']}.",
                }


@functools.cache
def toolchain():
    return re.search(r"Swift version (\S+)", swift("--version")).group(1)


def sbom(product, version, scratch):
    packages = Packages(product, scratch)
    root = f"pkg:generic/{product}@{version}"
    runtime = f"pkg:generic/swift@{toolchain()}"
    gcc = "pkg:deb/debian/gcc-10?distro=bullseye"
    components, graph = [], {}
    for package in packages:
        components.append({
            "type": "library", "bom-ref": reference(package), "name": package["identity"], "version": package["version"],
            "licenses": [licence(package)], "purl": reference(package),
            "externalReferences": [{"type": "vcs", "url": package["url"]}],
        })
        below = {reference(packages.found[child["identity"]]) for child in package["dependencies"]}
        for part in vendored(package):
            components.append(part)
            graph[part["bom-ref"]] = []
            below.add(part["bom-ref"])
        graph[reference(package)] = sorted(below)
    components.append({
        "type": "framework", "bom-ref": runtime, "name": "swift", "version": toolchain(), "licenses": [SWIFT_LICENCE],
        "purl": runtime, "description": "Standard library, concurrency, dispatch and FoundationEssentials.",
        "externalReferences": [{"type": "vcs", "url": "https://github.com/swiftlang/swift"}],
    })
    components.append({
        "type": "library", "bom-ref": gcc, "name": "gcc-10", "licenses": [GCC_LICENCE], "purl": gcc,
        "description": "libstdc++ and libgcc.",
    })
    graph[runtime], graph[gcc] = [gcc], []
    graph[root] = sorted([reference(packages.found[identity]) for identity in packages.direct] + [runtime, gcc])
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": root, "name": product, "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}], "purl": root,
            },
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": on} for ref, on in sorted(graph.items())],
    }
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True)).urn
    return json.dumps(document, indent=2) + "\n"


def notices(product, scratch):
    """Packages with the same text share it."""
    texts = {}
    for package in Packages(product, scratch):
        files = [licence_file(package), *sorted(pathlib.Path(package["path"]).glob("NOTICE*"))]
        for file in files:
            texts.setdefault(file.read_text().strip(), []).append(f"{package['identity']} {package['version']}")
    rule = "=" * 78
    return "".join(f"{rule}\n{', '.join(users)}\n{rule}\n\n{text}\n\n" for text, users in texts.items())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sbom", product, version, scratch]:
            sys.stdout.write(sbom(product, version, scratch))
        case ["notices", product, scratch]:
            sys.stdout.write(notices(product, scratch))
        case _:
            sys.exit(__doc__)
