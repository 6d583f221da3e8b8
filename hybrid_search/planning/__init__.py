"""What a shop of a given size needs beyond one machine: nodes, shards, memory, disk, workers, days. ``docs/planning.md`` has the formulas."""
