#!/bin/sh
# Train all that the package ships as a prior on one GPU, several trainings at a time: the autoencoder, its joint
# decoder, the noise estimator, and for CT and MR a U-Net, a ControlNet head and a refiner. On one H100 some 13 minutes.
#
#   benchmarks data pack docs/starter-data.yaml pack --ct-levels 127 --mr-levels 42 --slices 130   # if it must travel
#   START=priors/pretrained/starter/autoencoder.safetensors sh docs/train-quick.sh pack/data.yaml runs/quick
#   sh docs/train-quick.sh pack/data.yaml runs/tiny tiny --set steps=4 --device cpu                # dry run
#
# START, where it is set, is an autoencoder to go on from. DATA.yaml lists CT and MR folders with their classes. The U-Nets
# train beside the autoencoder, and the noise estimator beside the joint decoder: encoder and codebook, which make the
# latents, stay as they are there. What ends by itself is each recipe's time ('minutes'). Whatever fails ends all. Look at
# the validation figures in OUT/*/validation.csv before you believe a weights file: a total-variation image of body CT has
# 35 to 37 dB.
set -eu

data=$1 out=$2 recipe=${3:-quick}
shift $(($# > 3 ? 3 : $#))
common="--data $data --cache $out/cache --quiet"
svct="--task svct --views 20-80 --photons 1e4-1e6 --condition tv"
mri="--task mri --mask poisson --mask gauss1d --accel 4-8 --phase 1 --condition modl"

train() { # FOLDER NETWORK [options]
    folder=$1 network=$2
    shift 2
    echo "$folder: started" >&2
    recon train "$network" $common --recipe "$recipe" --out "$out/$folder" "$@" || { kill 0; exit 1; }
}

half() { recon weights export "$1" -o "$2" --half --overwrite; }

head_and_refiner() { # NAME TASK-OPTIONS [options]
    name=$1 task=$2
    shift 2
    train "$name-head" controlnet --base "$out/prior" $task "$@"
    half "$out/$name-head/head.safetensors" "$out/heads/$name.safetensors"
    train "$name-refiner" refiner --base "$out/prior" --head "$out/heads/$name.safetensors" \
        --warm-start "$out/$name-unet/unet.safetensors" "$@"
    half "$out/$name-refiner/refiner.safetensors" "$out/heads/$name-refiner.safetensors"
}

mkdir -p "$out/prior" "$out/heads"
train svct-unet unet $svct "$@" &
svct_unet=$!
train mri-unet unet $mri "$@" &
mri_unet=$!
train patches autoencoder ${START:+--warm-start "$START"} "$@"

recipe_of_patches=$recipe
recipe=$recipe_of_patches-joint
train joint autoencoder --stage 2 --warm-start "$out/patches/autoencoder.safetensors" "$@" &
joint=$!
recipe=$recipe_of_patches
train noise biflownet --base "$out/patches" "$@"
wait $joint $svct_unet $mri_unet
half "$out/joint/autoencoder.safetensors" "$out/prior/autoencoder.safetensors"
half "$out/noise/biflownet.safetensors" "$out/prior/biflownet.safetensors"

head_and_refiner svct "$svct" "$@" &
svct_refiner=$!
head_and_refiner mri "$mri --reference modl --reference tv" "$@"
wait $svct_refiner
echo "$out/prior, $out/heads" >&2
