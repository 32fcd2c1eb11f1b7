use std::path::PathBuf;

use super::*;

fn arguments(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn controller(line: &str) -> ControllerArgs {
    match parse(arguments(line)).unwrap().command {
        Command::Controller(args) => args,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_of_a_hosted_control_plane_is_taken() {
    let args = controller(
        "k0s controller --config=/etc/k0s/k0s.yaml --enable-dynamic-config --disable-components=endpoint-reconciler --disable-components helm,autopilot --ignore-pre-flight-checks --debug --data-dir /tmp/x -v",
    );
    assert!(args.enable_dynamic_config && args.common.debug && args.node.ignore_pre_flight_checks);
    assert_eq!(
        args.disable_components,
        ["endpoint-reconciler", "helm", "autopilot"]
    );
    assert_eq!(args.common.paths().data, PathBuf::from("/tmp/x"));
}

#[test]
fn switches_take_a_value_behind_an_equals_sign() {
    assert!(!controller("k0s controller --enable-dynamic-config=false").enable_dynamic_config);
    assert!(controller("k0s controller --enable-dynamic-config -c -").enable_dynamic_config);
}

#[test]
fn every_flag_of_a_controller_is_known() {
    controller(
        "k0s controller --enable-worker --single --no-taints --enable-k0s-cloud-provider \
         --k0s-cloud-provider-update-frequency 2m --k0s-cloud-provider-port 10258 \
         --enable-metrics-scraper --kube-controller-manager-extra-args=--v=2 --init-only \
         --feature-gates A=true --api-server-stop-timeout 5s --status-socket /s --debugListenOn :6060 \
         --kubelet-root-dir /k --profile p --enable-cloud-provider --token-file /t -l etcd=info \
         --labels a=b,c=d --taints x=y:NoSchedule --kubelet-extra-args=--v=1 --iptables-mode nft \
         --cri-socket remote:unix:///c --cidr-range 10.0.0.0/8 token",
    );
}

#[test]
fn a_worker_reads_its_lists() {
    let Command::Worker(args) = parse(arguments(
        "k0s worker --labels a=b,c=d --labels e=f --token-file /t",
    ))
    .unwrap()
    .command
    else {
        panic!("not a worker")
    };
    assert_eq!(args.node.labels, ["a=b", "c=d", "e=f"]);
    assert_eq!(args.node.profile, "default");
}

#[rstest::rstest]
#[case("k0s controller --nope")]
#[case("k0s controller --nope=1")]
#[case("k0s controller -Z")]
#[case("k0s nope")]
#[case("k0s token create --expiry")]
fn mistakes_exit_with_one(#[case] line: &str) {
    assert_eq!(parse(arguments(line)).unwrap_err(), ExitCode::FAILURE);
}

#[test]
fn unknown_flags_are_named_as_pflag_names_them() {
    assert_eq!(unknown("--x=1"), "unknown flag: --x");
    assert_eq!(unknown("-x"), "unknown shorthand flag: 'x' in -x");
}
