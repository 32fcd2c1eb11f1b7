//! writes
fn main() {
    for crd in crds::definitions::all() {
        let text = serde_saphyr::to_string(&crd).unwrap_or_default();
        let _ = std::fs::write(format!("crds/yaml/{}.yaml", crd.metadata.name.unwrap_or_default()), text);
    }
}
