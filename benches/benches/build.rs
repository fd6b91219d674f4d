//! Building the sandbox's command: the library beside a floor and a peer. `scripts/bench` writes the ratios down.

use std::hint::black_box;
use std::time::Duration;

use benches::{config, explained, facts, floor, ours, peer, planned, reusing};
use criterion::{Criterion, criterion_group, criterion_main};
use qemu_command_builder::to_command::ToCommand as _;
use qemu_dsl::sandbox::Planner;

fn build(criterion: &mut Criterion) {
    let (config, facts, peer) = (config(), facts(), peer());
    let mut group = criterion.benchmark_group("build");
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("floor", |b| {
        b.iter(|| floor::floor(black_box(floor::VM_ID), black_box(floor::WORK_DIR), black_box(floor::KERNEL_DIR)));
    });
    group.bench_function("fresh", |b| b.iter(|| ours(black_box(&config), black_box(&facts))));
    let mut command = Some(ours(&config, &facts));
    group.bench_function("reusing", |b| {
        b.iter(|| {
            command = command.take().map(|command| reusing(command, black_box(&config), black_box(&facts)));
        });
    });
    let mut planner = Planner::new(facts.clone());
    group.bench_function("planner", |b| b.iter(|| planned(&mut planner, black_box(&config), None)));
    group.bench_function("planner_reusing", |b| {
        b.iter(|| {
            command = command.take().map(|command| planned(&mut planner, black_box(&config), Some(command)));
        });
    });
    group.bench_function("explained", |b| b.iter(|| explained(black_box(&config), black_box(&facts))));
    group.bench_function("peer", |b| b.iter(|| black_box(&peer).to_command()));
    group.finish();
}

criterion_group!(benches, build);
criterion_main!(benches);
