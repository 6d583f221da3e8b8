"""Reading and validating a large catalogue: rows per second and peak memory of a process that does nothing else.

    python benchmarks/catalog_read.py [--rows 1000000] [--formats jsonl csv …] [--json FILE]

Writes a catalogue of made-up products in each format, reads it with ``read_catalog`` in a fresh process, and reports the rows, the seconds (wall and CPU) and the
process's high-water mark of resident memory (``VmHWM`` of ``/proc/self/status``, so Linux only). A process that only imports the reader is
measured beside it.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHILD = """
import json, sys, time
from pathlib import Path
from hybrid_search.catalog.read import read_catalog
from hybrid_search.catalog.rows import CatalogSummary
summary, start, cpu = CatalogSummary(), time.perf_counter(), time.process_time()
if sys.argv[1]:
    for _ in summary.watch(read_catalog(Path(sys.argv[1]))):
        pass
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"accepted": summary.accepted, "rejected": summary.rejected, "seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak / 1024}))
"""
VOCABULARY = "soft warm light wool cotton striped classic modern slim large small round oak steel blue green rain summer winter travel kitchen desk everyday"
WORDS = VOCABULARY.split()


def products(rows: int) -> Iterator[dict[str, Any]]:
    """Products as shops write them: about 600 bytes each, one in a thousand with a bad price."""
    rng = random.Random(7)
    for number in range(rows):
        yield {
            "id": f"sku-{number:08d}",
            "title": " ".join(rng.choices(WORDS, k=6)).title(),
            "description": " ".join(rng.choices(WORDS, k=45)) + ".",
            "category": f"Home > {rng.choice(WORDS).title()} > {rng.choice(WORDS).title()}",
            "brand": rng.choice(WORDS).title(),
            "color": rng.choice(("Red", "Blue", "Green", "Black")),
            "price": "19,99" if number % 1000 == 999 else round(rng.uniform(1, 500), 2),
            "currency": "EUR",
            "rating": round(rng.uniform(1, 5), 1),
            "rating_count": rng.randrange(500),
            "image": f"https://shop.example/pictures/{number}.jpg",
            "attributes": {"fit": rng.choice(WORDS), "care": "machine wash", "sizes": ["S", "M", "L"]},
        }


def write(path: Path, format: str, rows: int) -> None:
    """Writes the catalogue; in tables the attributes are left out, Parquet is written in row groups of 50,000."""
    if format in ("jsonl", "jsonl.gz"):
        with gzip.open(path, "wt", compresslevel=1) if format.endswith("gz") else path.open("w") as out:
            out.writelines(json.dumps(product) + "\n" for product in products(rows))
    elif format == "json":
        with path.open("w") as out:
            out.write("[")
            out.writelines((",\n" if number else "") + json.dumps(product) for number, product in enumerate(products(rows)))
            out.write("]")
    elif format == "csv":
        with path.open("w", newline="") as out:
            names = [name for name in next(products(1)) if name != "attributes"]
            writer = csv.DictWriter(out, names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(products(rows))
    elif format == "parquet":
        import pyarrow
        import pyarrow.parquet

        batch: list[dict[str, Any]] = []
        out_file = None
        for number, product in enumerate(products(rows), 1):
            batch.append(product | {"price": -1.0 if product["price"] == "19,99" else product["price"]})
            if len(batch) == 50_000 or number == rows:
                table = pyarrow.Table.from_pylist(batch)
                out_file = out_file or pyarrow.parquet.ParquetWriter(path, table.schema)
                out_file.write_table(table)
                batch = []
        assert out_file is not None
        out_file.close()
    elif format == "xml":
        with path.open("w") as out:
            out.write('<rss xmlns:g="http://base.google.com/ns/1.0"><channel>')
            for p in products(rows):
                out.write(
                    f"<item><g:id>{p['id']}</g:id><g:title>{p['title']}</g:title><g:description>{p['description']}</g:description>"
                    f"<g:product_type>{p['category'].replace('>', '&gt;')}</g:product_type><g:brand>{p['brand']}</g:brand><g:color>{p['color']}</g:color>"
                    f"<g:price>{p['price']} EUR</g:price><g:image_link>{p['image']}</g:image_link></item>\n"
                )
            out.write("</channel></rss>")


def measure(path: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", CHILD, path], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=["jsonl"], choices=["jsonl", "jsonl.gz", "json", "csv", "parquet", "xml"])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = {"import only": measure("")}
    with tempfile.TemporaryDirectory() as folder:
        for format in given.formats:
            path = Path(folder) / f"shop.{format}"
            write(path, format, given.rows)
            results[format] = measure(str(path)) | {"file_mb": path.stat().st_size / 1e6}
            path.unlink()
    for name, result in results.items():
        rows = result["accepted"] + result["rejected"]
        rates = f"{rows / result['seconds']:>8,.0f} rows/s {rows / (result['cpu_seconds'] or 1):>8,.0f} rows per CPU second"
        print(
            f"{name:12} {result['accepted']:>9,.0f} accepted {result['rejected']:>6,.0f} rejected {rates} {result['peak_mb']:>6.0f} MB peak"
        )
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
