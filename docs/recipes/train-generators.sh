#!/bin/sh
# Train the six generators of the paper's Tables II to IV on the same cubes of the same volumes, each for the same number
# of core-minutes, and compare them. Stopped anywhere, the same command goes on from its checkpoints.
#
#   sh docs/recipes/train-generators.sh DATA.yaml OUT [MINUTES [RECIPE [extra options of every 'recon train']]]
#
# DATA.yaml lists data sets with their classes, as for 'recon train --data'. MINUTES, 8 if none are given, are those of
# one method, in time of one core whatever else the machine does; where it trains two networks, each has one half. RECIPE
# is starter or tiny.
#
# In the environment:
#   SIZE     edge of the cubes in voxels (64; tiny needs 32)
#   SPACING  edge of a voxel in mm (cubes as wide as the volumes are, in the median)
#   CLASS    class of the table (CTChestAbdomen; MRT1Brain is compared in table4)
#   CORES    threads of a training (1)
#   COMPARE  options of the table, such as "--count 32 --steps WDM=250"
set -eu

data=$1 out=$2 minutes=${3:-8} recipe=${4:-starter}
shift $(($# > 4 ? 4 : $#))
edge=${SIZE:-64} spacing=${SPACING:-null} class=${CLASS:-CTChestAbdomen}
export OMP_NUM_THREADS="${CORES:-1}"

size="[$edge,$edge,$edge]"
half=$(awk "BEGIN { print $minutes / 2 }")
case $recipe in starter) ours=cubes ;; *) ours=$recipe ;; esac
case $class in MR*) table=table4 regions=false ;; *) table=table3 regions=true ;; esac # MAISI's regions are of CT

train() { # NAME MINUTES RECIPE SECTION-OF-THE-CUBES [options]: the time ends the training, not the number of steps
    name=$1 time=$2 chosen=$3 section=$4
    shift 4
    recon train "$name" --data "$data" --cache "$out/cache" --recipe "$chosen" --out "$out/$name" \
        --set "$section.size=$size" --set "$section.spacing=$spacing" --set steps=1000000 --set "minutes=$time" --set clock=processor "$@"
}

train hagan "$minutes" "$recipe" task "$@"
train wdm "$minutes" "$recipe" task "$@"
train medicaldiffusion-vqgan "$half" "$recipe" task "$@"
train medicaldiffusion "$half" "$recipe" task --base "$out/medicaldiffusion-vqgan" "$@"
train maisi-autoencoder "$half" "$recipe" task "$@"
train maisi "$half" "$recipe" task --base "$out/maisi-autoencoder" --set "network.regions=$regions" "$@"
train medsyn "$half" "$recipe" task "$@"
train medsyn-sr "$half" "$recipe" task --base "$out/medsyn" "$@"
train autoencoder "$half" "$ours" task.cubes "$@"
train biflownet "$half" "$ours" task.cubes --base "$out/autoencoder" "$@"

priors=
for name in hagan wdm medicaldiffusion maisi medsyn-sr biflownet; do
    priors="$priors --prior $out/$name"
done
benchmarks run $table --data "$data" --class "$class" --cache "$out/cache" --out "$out/results" $priors ${COMPARE:-}
