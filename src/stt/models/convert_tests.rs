//! A small CTranslate2 model with known weights, converted and read back.

use std::collections::HashMap;
use std::io::Cursor;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::super::ctranslate2::tests::model_bin;
use super::*;

const WIDTH: u32 = 4;
const VOCABULARY: u32 = 51_864;

/// Name, shape, type, data.
type NamedVariable = (String, Vec<u32>, u8, Vec<u8>);
type Variables = Vec<NamedVariable>;

/// One layer on each side, random weights, zero key biases.
pub(crate) fn variables(mels: u32) -> Variables {
    let mut random = StdRng::seed_from_u64(7);
    let mut list = Variables::new();
    let mut add = |name: String, shape: &[u32]| {
        let count: u32 = shape.iter().product();
        let mut data: Vec<u8> = (0..count).flat_map(|_| random.random_range(0..0x7c00_u16).to_le_bytes()).collect();
        let width = WIDTH as usize * 2;
        if name.ends_with("self_attention/linear_0/bias") {
            data[width..2 * width].fill(0);
        } else if name.ends_with("/attention/linear_1/bias") {
            data[..width].fill(0);
        }
        list.push((name, shape.to_vec(), 4, data));
    };
    let w = WIDTH;
    add("decoder/embeddings/weight".into(), &[VOCABULARY, w]);
    add("decoder/position_encodings/encodings".into(), &[6, w]);
    add("encoder/position_encodings/encodings".into(), &[5, w]);
    for (convolution, inputs) in [("conv1", mels), ("conv2", w)] {
        add(format!("encoder/{convolution}/weight"), &[w, inputs, 3]);
        add(format!("encoder/{convolution}/bias"), &[w]);
    }
    for side in ["decoder", "encoder"] {
        let block = format!("{side}/layer_0");
        let norms = [
            format!("{side}/layer_norm"),
            format!("{block}/ffn/layer_norm"),
            format!("{block}/self_attention/layer_norm"),
        ];
        let cross_norm = (side == "decoder").then(|| format!("{block}/attention/layer_norm"));
        for norm in norms.into_iter().chain(cross_norm) {
            add(format!("{norm}/gamma"), &[w]);
            add(format!("{norm}/beta"), &[w]);
        }
        let mut linear = vec![
            ("ffn/linear_0", 4 * w, w),
            ("ffn/linear_1", w, 4 * w),
            ("self_attention/linear_0", 3 * w, w),
            ("self_attention/linear_1", w, w),
        ];
        if side == "decoder" {
            linear.extend([
                ("attention/linear_0", w, w),
                ("attention/linear_1", 2 * w, w),
                ("attention/linear_2", w, w),
            ]);
        }
        for (name, rows, columns) in linear {
            add(format!("{block}/{name}/weight"), &[rows, columns]);
            add(format!("{block}/{name}/bias"), &[rows]);
        }
    }
    for side in ["decoder", "encoder"] {
        list.push((format!("{side}/num_heads"), vec![], 2, vec![2, 0]));
    }
    list
}

pub(crate) fn file_of(variables: &Variables) -> Vec<u8> {
    let borrowed: Vec<(&str, &[u32], u8, Vec<u8>)> =
        variables.iter().map(|(name, shape, kind, data)| (name.as_str(), &shape[..], *kind, data.clone())).collect();
    model_bin(&borrowed)
}

fn converted(variables: &Variables) -> Result<Vec<u8>, ConvertError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.bin");
    let bytes = file_of(variables);
    std::fs::write(&path, &bytes).unwrap();
    let model = Model::read(Cursor::new(&bytes), bytes.len() as u64)?;
    let mut target = Vec::new();
    convert(&model, &mut File::open(path).unwrap(), &[b"token".to_vec()], &mut target)?;
    Ok(target)
}

fn change(variables: &mut Variables, name: &str, change: impl FnOnce(&mut NamedVariable)) {
    change(variables.iter_mut().find(|(other, ..)| other == name).unwrap());
}

#[test]
fn every_weight_arrives_where_the_layout_says() {
    let source = variables(80);
    let target = converted(&source).unwrap();
    let directory = ggml::read(Cursor::new(&target), target.len() as u64).unwrap();
    assert_eq!((directory.header.n_text_head, directory.header.n_text_ctx, directory.header.n_audio_ctx), (2, 6, 5));
    let source: HashMap<&str, &Vec<u8>> = source.iter().map(|(name, _, _, data)| (name.as_str(), data)).collect();
    let part = |name: &str, part: usize, parts: usize| {
        let length = source[name].len() / parts;
        source[name][part * length..(part + 1) * length].to_vec()
    };
    let expected = [
        ("decoder.token_embedding.weight", part("decoder/embeddings/weight", 0, 1)),
        ("decoder.blocks.0.attn.query.weight", part("decoder/layer_0/self_attention/linear_0/weight", 0, 3)),
        ("decoder.blocks.0.attn.key.weight", part("decoder/layer_0/self_attention/linear_0/weight", 1, 3)),
        ("decoder.blocks.0.attn.value.bias", part("decoder/layer_0/self_attention/linear_0/bias", 2, 3)),
        ("decoder.blocks.0.cross_attn.query.weight", part("decoder/layer_0/attention/linear_0/weight", 0, 1)),
        ("decoder.blocks.0.cross_attn.key.weight", part("decoder/layer_0/attention/linear_1/weight", 0, 2)),
        ("decoder.blocks.0.cross_attn.value.bias", part("decoder/layer_0/attention/linear_1/bias", 1, 2)),
        ("decoder.blocks.0.cross_attn.out.weight", part("decoder/layer_0/attention/linear_2/weight", 0, 1)),
        ("decoder.blocks.0.cross_attn_ln.weight", part("decoder/layer_0/attention/layer_norm/gamma", 0, 1)),
        ("encoder.blocks.0.attn.out.weight", part("encoder/layer_0/self_attention/linear_1/weight", 0, 1)),
        ("encoder.blocks.0.attn_ln.bias", part("encoder/layer_0/self_attention/layer_norm/beta", 0, 1)),
        ("encoder.blocks.0.mlp.0.weight", part("encoder/layer_0/ffn/linear_0/weight", 0, 1)),
        ("encoder.blocks.0.mlp.2.bias", part("encoder/layer_0/ffn/linear_1/bias", 0, 1)),
        ("encoder.blocks.0.mlp_ln.bias", part("encoder/layer_0/ffn/layer_norm/beta", 0, 1)),
        ("encoder.conv1.weight", part("encoder/conv1/weight", 0, 1)),
        ("encoder.conv2.bias", part("encoder/conv2/bias", 0, 1)),
        ("encoder.ln_post.weight", part("encoder/layer_norm/gamma", 0, 1)),
        ("decoder.ln.bias", part("decoder/layer_norm/beta", 0, 1)),
        ("encoder.positional_embedding", part("encoder/position_encodings/encodings", 0, 1)),
    ];
    for (name, halves) in expected {
        let tensor = directory.tensors.iter().find(|tensor| tensor.spec.name == name).unwrap();
        let start = usize::try_from(tensor.offset).unwrap();
        let found = &target[start..start + usize::try_from(tensor.bytes).unwrap()];
        if tensor.kind == TensorType::F32 {
            let wide: Vec<u8> = half::widen(&halves).flat_map(f32::to_le_bytes).collect();
            assert_eq!(found, wide, "{name}");
        } else {
            assert_eq!(found, halves, "{name}");
        }
    }
}

#[test]
fn a_model_with_128_mel_bands_keeps_them() {
    let target = converted(&variables(128)).unwrap();
    assert_eq!(ggml::read(Cursor::new(&target), target.len() as u64).unwrap().header.n_mels, 128);
}

#[test]
fn what_ggml_cannot_hold_is_refused() {
    let refused = |name: &str, how: fn(&mut NamedVariable)| {
        let mut source = variables(80);
        change(&mut source, name, how);
        match converted(&source) {
            Err(ConvertError::Source(error)) => error,
            other => panic!("{name}: {other:?}"),
        }
    };
    let key_bias = refused("decoder/layer_0/attention/linear_1/bias", |variable| variable.3[1] = 1);
    assert!(matches!(key_bias, FormatError::KeyBias { .. }), "{key_bias}");
    let int8 = refused("encoder/layer_0/ffn/linear_0/weight", |variable| variable.2 = 1);
    assert!(matches!(int8, FormatError::NotFloat16 { .. }), "{int8}");
    let turned = refused("encoder/layer_0/ffn/linear_0/weight", |variable| variable.1.reverse());
    assert!(matches!(turned, FormatError::WrongTensor { .. }), "{turned}");
    let absent = refused("encoder/conv2/bias", |variable| variable.0 = "other".into());
    assert!(matches!(absent, FormatError::MissingTensor { .. }), "{absent}");
    let mels = refused("encoder/conv1/weight", |variable| {
        variable.1 = vec![WIDTH, 8, 3];
        variable.3.truncate(WIDTH as usize * 8 * 3 * 2);
    });
    assert!(matches!(mels, FormatError::OutOfRange { .. }), "{mels}");
}

#[test]
fn a_minus_zero_in_the_key_bias_is_zero() {
    let mut source = variables(80);
    change(&mut source, "decoder/layer_0/attention/linear_1/bias", |variable| variable.3[1] = 0x80);
    converted(&source).unwrap();
}
