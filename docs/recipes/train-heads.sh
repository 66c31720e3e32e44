#!/bin/sh
# Train the shipped ControlNet heads and their refiners on an installed prior: one head for sparse-view CT, one for MR.
# Stopped anywhere, the same command goes on from its checkpoints.
#
#   sh docs/recipes/train-heads.sh CT.yaml MR.yaml OUT [RECIPE [PRIOR [extra options of every 'recon train']]]
#
# CT.yaml and MR.yaml list folders with their classes, as for 'recon train --data'. A head is shown the best fast image
# there is (CT: total variation; MR: MoDL); a U-Net learns what that image gets wrong, and goes on as the refiner that
# also sees the head's samples.
#
# Scans are simulated as networks meet them: of continuous objects, with drawn noise; in CT the model error of the pixels
# is taken off as in a reconstruction, and MR has phase and 1 to 8 coils. Such a CT scan of 256 x 256
# pixels takes one core a minute or two. Scans are kept in
# OUT/cache: make them on a machine with many cores (--dry-run does, one network after the other) and copy the folder to
# the one that trains. SIMULATE=drawn in the environment draws what is left of the model error instead, in a tenth of
# the time; SIMULATE=ideal is the inverse crime, as for the shipped head of MR.
#
# For MR the refiner changes the mean of MoDL's image and total variation's. The files are 16-bit; a refiner belongs to the
# 16-bit head.
set -eu

simulate=${SIMULATE:-continuous}
case $simulate in # MR has no model error to draw; ideal k-space is noise-free and of one coil
    ideal) kspace="--simulate ideal --phase 1" ;;
    *) kspace="--simulate continuous --noise 0.02 --phase 1.57 --coils 1-8" ;;
esac
ct=$1 mr=$2 out=$3 recipe=${4:-starter} prior=${5:-starter}
shift $(($# > 5 ? 5 : $#))

train_head() { # NAME DATA REFERENCE-OPTIONS TASK...
    name=$1 data=$2 reference=$3
    shift 3
    common="--data $data --cache $out/cache --recipe $recipe"
    recon train unet $common --out "$out/$name-unet" "$@"
    recon train controlnet $common $reference --base "$prior" --out "$out/$name-head" "$@"
    recon weights export "$out/$name-head/head.safetensors" -o "$out/heads/$name.safetensors" --half --overwrite
}

train_refiner() { # NAME DATA [extra options]
    name=$1 data=$2
    shift 2
    recon train refiner --data "$data" --cache "$out/cache" --recipe "$recipe" --base "$prior" \
        --head "$out/heads/$name.safetensors" --warm-start "$out/$name-unet/unet.safetensors" \
        --out "$out/$name-refiner" "$@"
    recon weights export "$out/$name-refiner/refiner.safetensors" -o "$out/heads/$name-refiner.safetensors" \
        --half --overwrite
}

mkdir -p "$out/heads"
train_head svct "$ct" "" --task svct --simulate "$simulate" --views 20-80 --photons 1e4-1e6 --condition tv "$@"
train_refiner svct "$ct" "$@"
train_head mri "$mr" "--reference modl --reference tv" --task mri $kspace --mask poisson --mask gauss1d --accel 4-8 \
    --condition modl "$@"
train_refiner mri "$mr" "$@"
