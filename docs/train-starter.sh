#!/bin/sh
# Train a prior as the shipped one was: patches, joint decoder, noise estimator, then 16-bit files and a report.
# Stopped anywhere, the same command goes on from its checkpoints.
#
#   sh docs/train-starter.sh DATA.yaml OUT [RECIPE [extra options of every 'recon train']]
#
# DATA.yaml lists folders with their classes, as for 'recon train --data'; 'benchmarks data pack' makes one that travels.
# On one H200:  sh docs/train-starter.sh pack/data.yaml runs/starter starter
# Dry run:      sh docs/train-starter.sh pack/data.yaml runs/tiny tiny --set steps=4 --device cpu
set -eu

data=$1 out=$2 recipe=${3:-starter}
shift $(($# > 3 ? 3 : $#))
common="--data $data --cache $out/cache --recipe $recipe"

# The joint decoder sees fewer, larger cubes; the shipped recipe's batch is for patches.
case $recipe in tiny) joint="--set batch=1 --set task.crop=[32,32,32]" ;; *) joint="--set batch=4" ;; esac

recon train autoencoder $common --out "$out/patches" "$@"
recon train autoencoder $common --out "$out/joint" --stage 2 --warm-start "$out/patches/autoencoder.safetensors" $joint "$@"
recon train biflownet $common --out "$out/noise" --base "$out/joint" "$@"

mkdir -p "$out/prior"
for network in autoencoder biflownet; do
    recon weights export "$out/noise/$network.safetensors" -o "$out/prior/$network.safetensors" --half --overwrite
done
benchmarks prior "$out/prior" --data "$data" --out "$out/report" --cache "$out/cache"
