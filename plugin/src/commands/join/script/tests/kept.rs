//! A script that stays on the machine for whoever runs it has the token in it.

use super::*;

fn kept(machine: &Machine, environment: &[(&str, &str)]) -> (i32, bool) {
    let path = machine.file("kept.sh", "the script");
    let setup = Setup {
        kept: Some(path.to_str().unwrap().to_owned()),
        ..Setup::default()
    };
    (machine.runs(&setup, environment).code, path.exists())
}

#[test]
fn it_goes_once_nobody_will_run_it_again_and_stays_until_then() {
    in_every_shell(|machine| {
        machine.program("k0s", &k0s("v1.36.3+k0s.2"));
        for (environment, code, stays) in [
            (("FAILING", "install"), 1, true),
            (("AWAY", "Connection refused"), 8, true),
            (("MACHINE", "riscv64"), 6, false),
            (("ANSWER", "401"), 7, false),
            (("ANSWER", "200"), 0, false),
        ] {
            assert_eq!(kept(&machine, &[environment]), (code, stays));
        }
        machine.file("root/etc/init.d/k0sworker", "");
        assert_eq!(kept(&machine, &[]), (3, false));

        let machine = Machine::new(machine.shell);
        assert_eq!(kept(&machine, &[]), (5, true));
    });
}
