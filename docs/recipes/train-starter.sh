#!/bin/sh
# Train a prior like the shipped one: patches, joint decoder, noise estimator, then 16-bit files and a report.
# Stopped anywhere, the same command goes on from its checkpoints.
#
#   sh docs/recipes/train-starter.sh DATA.yaml OUT [RECIPE [extra options of every 'recon train']]
#
# DATA.yaml lists folders with their classes, as for 'recon train --data'; 'benchmarks data pack' makes one that travels.
# On one H200:       sh docs/recipes/train-starter.sh pack/data.yaml runs/starter starter
# On two CPU cores:  sh docs/recipes/train-starter.sh pack/data.yaml runs/starter cpu
# Dry run:           sh docs/recipes/train-starter.sh pack/data.yaml runs/tiny tiny --set steps=4 --device cpu
set -eu

data=$1 out=$2 recipe=${3:-starter}
shift $(($# > 3 ? 3 : $#))
common="--data $data --cache $out/cache"

start=
if [ "$recipe" = cpu ]; then # where steps are dear, the first ones are on smaller cubes
    recon train autoencoder $common --recipe cpu-small --out "$out/small" "$@"
    start="--warm-start $out/small/autoencoder.safetensors"
fi
recon train autoencoder $common --recipe "$recipe" --out "$out/patches" $start "$@"
recon train autoencoder $common --recipe "$recipe-joint" --stage 2 --out "$out/joint" \
    --warm-start "$out/patches/autoencoder.safetensors" "$@"
recon train biflownet $common --recipe "$recipe" --out "$out/noise" --base "$out/joint" "$@"

mkdir -p "$out/prior"
for network in autoencoder biflownet; do
    recon weights export "$out/noise/$network.safetensors" -o "$out/prior/$network.safetensors" --half --overwrite
done
benchmarks prior "$out/prior" --data "$data" --out "$out/report" --cache "$out/cache"
