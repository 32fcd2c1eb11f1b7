//! `spec.network` of the configuration, and the patches that its parts share with others.

use super::kind::{
    CIDR, EXTRA_ARGS, Field, INT, INT32, Kind, MAP, PORT, PORT_OR_NONE, RAW_ARGS, TEXT, TEXTS,
    Text, V32, V34, V35, V36, field,
};
use super::text;

pub(super) const PROVIDERS: [&str; 3] = ["kuberouter", "calico", "custom"];
pub(super) const PULL_POLICIES: [&str; 4] = ["Always", "IfNotPresent", "Never", ""];

pub(super) const NETWORK: &[Field] = &[
    field("provider", Kind::Text(Text::OneOf(&PROVIDERS))),
    field("podCIDR", CIDR),
    field("serviceCIDR", CIDR),
    field(
        "clusterDomain",
        Kind::Text(Text::Like(text::is_dns_name, text::DNS_NAME)),
    ),
    field(
        "primaryAddressFamily",
        Kind::Text(Text::OneOf(&["IPv4", "IPv6", ""])),
    )
    .since(V34),
    field(
        "dualStack",
        Kind::Object(&[
            field("enabled", Kind::Bool),
            field("IPv6podCIDR", TEXT),
            field("IPv6serviceCIDR", TEXT),
        ]),
    ),
    field("calico", Kind::Object(CALICO)).counts(|network, _| {
        text::get(network, &["provider"]).is_some_and(|provider| provider != "kuberouter")
    }),
    field("kuberouter", Kind::Object(KUBE_ROUTER)).counts(|network, _| {
        text::get(network, &["provider"]).is_none_or(|provider| provider != "calico")
    }),
    field("kubeProxy", Kind::Object(KUBE_PROXY)),
    field("coreDNS", Kind::Object(&[PATCHES])).since(V36),
    field("nodeLocalLoadBalancing", Kind::Object(NODE_LOCAL)),
    field("controlPlaneLoadBalancing", Kind::Object(CONTROL_PLANE)),
];

const CALICO: &[Field] = &[
    field("mode", Kind::Text(Text::OneOf(&["bird", "vxlan", "ipip"]))),
    field("wireguard", Kind::Bool),
    field("envVars", MAP),
    field("flexVolumeDriverPath", TEXT),
    field("ipAutodetectionMethod", TEXT),
    field("ipV6AutodetectionMethod", TEXT),
    field("mtu", INT),
    field("overlay", TEXT),
    field("vxlanPort", INT),
    field("vxlanVNI", INT),
    PATCHES,
];

const KUBE_ROUTER: &[Field] = &[
    field("autoMTU", Kind::Bool),
    field("mtu", INT),
    field("metricsPort", INT),
    field("hairpin", TEXT),
    field("hairpinMode", Kind::Bool),
    field("ipMasq", Kind::Bool),
    field("peerRouterASNs", TEXT),
    field("peerRouterIPs", TEXT),
    EXTRA_ARGS,
    RAW_ARGS,
    PATCHES,
];

const KUBE_PROXY: &[Field] = &[
    field("disabled", Kind::Bool),
    field(
        "mode",
        Kind::Text(Text::OneOf(&["iptables", "ipvs", "nftables", "userspace"])),
    )
    .counts(|proxy, _| runs(proxy)),
    field("metricsBindAddress", HOST_PORT).counts(|proxy, minor| minor >= 36 && runs(proxy)),
    field("healthzBindAddress", HOST_PORT)
        .since(V36)
        .counts(|proxy, _| runs(proxy)),
    field(
        "iptables",
        Kind::Object(&[
            field("masqueradeBit", INT32),
            field("masqueradeAll", Kind::Bool),
            field("localhostNodePorts", Kind::Bool),
            field("syncPeriod", Kind::Duration),
            field("minSyncPeriod", Kind::Duration),
        ]),
    ),
    field(
        "ipvs",
        Kind::Object(&[
            field("syncPeriod", Kind::Duration),
            field("minSyncPeriod", Kind::Duration),
            field("scheduler", TEXT),
            field("excludeCIDRs", TEXTS),
            field("strictARP", Kind::Bool),
            field("tcpTimeout", Kind::Duration),
            field("tcpFinTimeout", Kind::Duration),
            field("udpTimeout", Kind::Duration),
        ]),
    ),
    field(
        "nftables",
        Kind::Object(&[
            field("syncPeriod", Kind::Duration),
            field("masqueradeBit", INT32),
            field("masqueradeAll", Kind::Bool),
            field("minSyncPeriod", Kind::Duration),
        ]),
    ),
    field("nodePortAddresses", TEXTS),
    EXTRA_ARGS,
    RAW_ARGS,
    PATCHES,
];

const HOST_PORT: Kind = Kind::Text(Text::Like(text::is_host_port, text::HOST_PORT));

fn runs(proxy: &serde_json::Value) -> bool {
    text::get(proxy, &["disabled"]) != Some(&serde_json::Value::Bool(true))
}

pub(super) const PATCHES: Field = field("patches", Kind::List(&Kind::Object(PATCH))).since(V36);
const PATCH: &[Field] = &[
    field("target", Kind::Object(TARGET_FIELDS)).required(),
    field("patch", Kind::Object(CONTENT_FIELDS)).required(),
];
const TARGET_FIELDS: &[Field] = &[
    field("kind", TEXT).required(),
    field("name", TEXT).required(),
    field("namespace", TEXT),
];
const CONTENT_FIELDS: &[Field] = &[
    field(
        "type",
        Kind::Text(Text::OneOf(&["JSON", "StrategicMergePatch", "MergePatch"])),
    )
    .required(),
    field("content", TEXT),
];

const NODE_LOCAL: &[Field] = &[
    field("enabled", Kind::Bool),
    field(
        "type",
        Kind::Text(Text::OneOf(&["EnvoyProxy", "Traefik", ""])),
    ),
    field("envoyProxy", Kind::Object(PROXY)),
    field("traefik", Kind::Object(PROXY)).since(V36),
];

const PROXY: &[Field] = &[
    field(
        "image",
        Kind::Object(&[
            field(
                "image",
                Kind::Text(Text::Like(text::is_trimmed, text::TRIMMED)),
            ),
            field(
                "version",
                Kind::Text(Text::Like(
                    |version| version.is_empty() || text::is_image_version(version),
                    text::IMAGE_VERSION,
                )),
            ),
        ]),
    ),
    field("imagePullPolicy", Kind::Text(Text::OneOf(&PULL_POLICIES))),
    field("apiServerBindPort", PORT_OR_NONE),
    field("konnectivityServerBindPort", PORT),
];

const CONTROL_PLANE: &[Field] = &[
    field("enabled", Kind::Bool),
    field("type", Kind::Text(Text::OneOf(&["Keepalived", ""]))),
    field(
        "keepalived",
        Kind::Object(&[
            field("vrrpInstances", Kind::List(&Kind::Object(VRRP))),
            field("virtualServers", Kind::List(&Kind::Object(VIRTUAL_SERVER))),
            field("userSpaceProxyBindPort", PORT_OR_NONE).since(V32),
            field("disableLoadBalancer", Kind::Bool).since(V32),
            field("configTemplateVRRP", TEXT).since(V35),
            field("configTemplateVS", TEXT).since(V35),
        ]),
    ),
];

const VRRP: &[Field] = &[
    field("virtualIPs", Kind::List(&CIDR)).required(),
    field("interface", TEXT),
    field("virtualRouterID", Kind::Integer(0, 255)),
    field("advertIntervalSeconds", INT32),
    field(
        "authPass",
        Kind::Text(Text::Secret(
            |password| password.len() <= 8,
            "must be no more than 8 bytes",
        )),
    )
    .required(),
    field("unicastPeers", TEXTS).since(V32),
    field("unicastSourceIP", TEXT).since(V32),
    // The last number is reserved.
    field("addressLabel", Kind::Integer(0, u32::MAX as i64 - 1)).since(V34),
];

const VIRTUAL_SERVER: &[Field] = &[
    field("ipAddress", Kind::Text(Text::Like(text::is_ip, text::IP))).required(),
    field("delayLoop", Kind::Duration),
    field(
        "lbAlgo",
        Kind::Text(Text::OneOf(&[
            "rr", "wrr", "lc", "wlc", "lblc", "dh", "sh", "sed", "nq", "",
        ])),
    ),
    field("lbKind", Kind::Text(Text::OneOf(&["NAT", "DR", "TUN", ""]))),
    field("persistenceTimeoutSeconds", Kind::Integer(0, 2_678_400)),
];
