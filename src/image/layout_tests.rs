use super::*;

fn index(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path.join("index.json")).unwrap()).unwrap()
}

#[test]
fn tags_are_replaced_and_others_kept() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("a/layout");
    let layout = ImageLayout::open(&path).unwrap();
    let tagged = |number: u32, tag: &str| {
        let descriptor = layout.document("x/y", &json!({ "number": number })).unwrap();
        layout.tag(descriptor.clone(), tag).unwrap();
        descriptor["digest"].as_str().unwrap().to_owned()
    };
    let (_, two, three) = (tagged(1, "a"), tagged(2, "b"), tagged(3, "a"));
    let found = index(&path);
    let found: Vec<(&str, &str)> = found["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["digest"].as_str().unwrap(), it["annotations"][TAG].as_str().unwrap()))
        .collect();
    assert_eq!(found, [(two.as_str(), "b"), (three.as_str(), "a")]);
    let digest = Digest::parse(&three).unwrap();
    assert!(layout.has(&digest, 12) && !layout.has(&digest, 13));
    assert_eq!(fs::read(layout.blob_path(&digest)).unwrap(), br#"{"number":3}"#);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 3, "a temporary file is left");
}

#[test]
fn other_directories_are_refused() {
    let top = tempfile::tempdir().unwrap();
    fs::write(top.path().join("letter"), "").unwrap();
    let message = ImageLayout::open(top.path()).unwrap_err().to_string();
    assert!(message.ends_with("the directory is neither empty nor an OCI image layout"), "{message}");
    fs::write(top.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(ImageLayout::open(top.path()).unwrap_err().to_string().ends_with("is not 1.0.0"));
    assert!(top.path().join("letter").exists());
}

#[test]
fn nothing_is_left_of_a_blob_that_fails() {
    let top = tempfile::tempdir().unwrap();
    let layout = ImageLayout::open(top.path()).unwrap();
    drop(layout.blob(Algorithm::Sha256).unwrap());
    let mut blob = layout.blob(Algorithm::Sha256).unwrap();
    blob.write_all(b"abc").unwrap();
    assert!(blob.finish(Some(&Digest::of(b"abd"))).is_err());
    // A killed command leaves a file that nobody locks; one at work has locked its own.
    fs::write(top.path().join(".tare-1-0"), "").unwrap();
    let other = layout.blob(Algorithm::Sha256).unwrap();
    ImageLayout::open(top.path()).unwrap();
    let names = || fs::read_dir(top.path()).unwrap().count();
    assert_eq!(names(), 2);
    drop(other);
    assert_eq!(names(), 1);
}
