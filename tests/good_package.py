"""A submission package in which nothing is wrong, of two systems, made without the writer."""

import zipfile
from pathlib import Path

CLIPS = ["a.1.wav", "a.2.wav", 'été "x", (1).wav']
OUTPUT = """file_name,caption_predicted
a.1.wav,rain falls on a roof
a.2.wav,a dog barks twice
"été ""x"", (1).wav",wind blows
"""
METADATA = """# Submission information for task 6
submission:
  label: drossos_tau_task6_1
  name: DCASE2021 baseline system
  abbreviation: Baseline
  authors:
    - lastname: Drossos
      firstname: Konstantinos
      email: someone@example.org
      corresponding: true
      affiliation:
        abbreviation: TAU
        institute: Tampere University
        department: Computing Sciences
        location: Tampere, Finland
    - lastname: Lipping
      firstname: Samuel
      email: # Contact email address
      affiliation:
        abbreviation: TAU
        institute: Tampere University
        department: Computing Sciences
        location: Tampere, Finland
system:
  description:
    input_sampling_rate: 44.1kHz
    acoustic_features: log-mel energies
    word_embeddings: one-hot
    data_augmentation: !!null
    machine_learning_method: encoder-decoder
    learning_scheme: supervised
    ensemble: No
    audio_modelling: cnn
    word_modelling: rnn
    loss_function: crossentropy
    optimizer: adam
    leasrning_rate: 1e-3
    gradient_clipping: 0
    gradient_norm: !!null
    metric_monitored: validation_loss
  complexity:
    total_parameters: 46246
  external_datasets:
    - name: MACS
      url: https://example.org/macs
      has_audio: Yes
      has_images: No
      has_video: No
      has_captions: Yes
      nb_captions_per_audio: 4.4
      total_audio_length: 17275
      used_for: audio_and_word_modelling
  source_code: https://example.org/code
results:
  development_evaluation:
    bleu1: 0.378
    bleu2: 0.119
    bleu3: 0.050
    bleu4: 0.017
    rougel: 0.263
    meteor: 0.078
    cider: 0.075
    spice: 0.028
    spider: 0.051
"""
PDF = b"%PDF-1.7\nnothing to see\n%%EOF\n"
STEM = "drossos_tau_task6_submission"
NAMES = {kind: f"{STEM}_1_{kind}.{end}" for kind, end in
         {"output": "csv", "metadata": "yaml", "report": "pdf"}.items()}  # fmt: skip


def good_files() -> dict[str, bytes]:
    """Give name -> content."""
    second = METADATA.replace("task6_1", "task6_2").replace("Baseline", "Better")
    return {
        NAMES["output"]: OUTPUT.encode(),
        NAMES["metadata"]: METADATA.encode(),
        NAMES["report"]: PDF,
        f"{STEM}_2_output.csv": OUTPUT.encode(),
        f"{STEM}_2_metadata.yaml": second.encode(),
        f"{STEM}_2_report.pdf": PDF,
    }


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """Zip name -> content."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
