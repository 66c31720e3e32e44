#!/bin/sh
# Train the prior that the package ships on one GPU in ten minutes: the autoencoder's patches, then its joint decoder and
# the noise estimator at a time. Its heads come from docs/recipes/train-heads.sh (recipe quick).
#
#   benchmarks data pack docs/recipes/starter-data.yaml pack --ct-levels 63 --mr-levels 31 --slices 100   # if it must travel
#   START=priors/pretrained/starter sh docs/recipes/train-quick.sh pack/data.yaml runs/quick
#   sh docs/recipes/train-quick.sh pack/data.yaml runs/tiny tiny --set steps=4 --device cpu               # dry run
#
# START, where it is set, is the folder of a prior to go on from. DATA.yaml lists CT and MR folders with their classes. What
# ends by itself is each recipe's time ('minutes'). Whatever fails ends all. Look at the validation figures in
# OUT/*/validation.csv before you believe a weights file.
set -eu

data=$1 out=$2 recipe=${3:-quick}
shift $(($# > 3 ? 3 : $#))
common="--data $data --cache $out/cache --quiet"

train() { # FOLDER RECIPE NETWORK [options]
    folder=$1 named=$2 network=$3
    shift 3
    echo "$folder: started" >&2
    recon train "$network" $common --recipe "$named" --out "$out/$folder" "$@" || { kill 0; exit 1; }
}

half() { recon weights export "$1" -o "$2" --half --overwrite; }

mkdir -p "$out/prior"
train patches "$recipe" autoencoder ${START:+--warm-start "$START/autoencoder.safetensors"} "$@"

train joint "$recipe-joint" autoencoder --stage 2 --warm-start "$out/patches/autoencoder.safetensors" "$@" &
joint=$!
train noise "$recipe" biflownet --base "$out/patches" ${START:+--warm-start "$START/biflownet.safetensors"} "$@"
wait $joint
half "$out/joint/autoencoder.safetensors" "$out/prior/autoencoder.safetensors"
half "$out/noise/biflownet.safetensors" "$out/prior/biflownet.safetensors"
echo "$out/prior" >&2
