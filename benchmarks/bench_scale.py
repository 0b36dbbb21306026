"""How the workflow grows: its graph of jobs, its stages on 1, 10 and 100 times Clotho, a cluster.

    PYTHONPATH=src python benchmarks/bench_scale.py [graph] [stages] [cluster] [--sizes 1 10 100]

`graph`: dry runs of a training on Clotho and WavCaps with its 403,050 clips in 200, 800 and 2,000
shards, with nothing and with everything done, and what Snakemake leaves on the disk. `stages`: CPU
time and memory per clip of features, tables, loader, decoding and scoring on made corpora.
`cluster`: what the 2,000-shard run costs on 1, 16 and 256 nodes, simulated over its graph with job
times that other benchmarks measured; `--picture FILE` draws it. docs/scale.md says what came out.
"""

import argparse
from pathlib import Path

from scale_cluster import measure_cluster
from scale_graph import FRONTENDS, measure_graph

PARTS = ("graph", "stages", "cluster")


def main() -> None:
    """Run the parts that are asked for, by default all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1, 10, 100], help="x Clotho")
    parser.add_argument("--stages", nargs="+", help="by name, default all")
    parser.add_argument("--shards", nargs="+", type=int, default=[200, 800, 2000])
    parser.add_argument("--nodes", nargs="+", type=int, default=[1, 16, 256])
    parser.add_argument("--system", choices=FRONTENDS, default="convnext_transformer")
    parser.add_argument("--picture", type=Path, help="draw the simulation (SVG)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    parts = arguments.parts or PARTS
    if "graph" in parts:
        measure_graph(arguments.shards, arguments.system)
    if "stages" in parts:
        from scale_stages import STAGE_NAMES, measure_stages  # imports torch

        names = arguments.stages or STAGE_NAMES
        if unknown := set(names) - set(STAGE_NAMES):
            parser.error(f"unknown stages: {', '.join(sorted(unknown))}; {', '.join(STAGE_NAMES)}")
        needs = {"load_training", "decode"} & set(names)  # the vocabulary
        measure_stages(arguments.sizes, {*names, "count_words"} if needs else set(names))
    if "cluster" in parts:
        measure_cluster(max(arguments.shards), arguments.nodes, arguments.picture)


if __name__ == "__main__":
    main()
