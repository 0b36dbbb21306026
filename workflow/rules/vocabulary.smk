"""Vocabularies and the vectors of their words: of captions, development captions only."""


rule build_vocabulary:
    input:
        annotations=lambda wildcards: [
            PLAN.table("annotations", corpus, "development")
            for corpus in vocabulary_corpora(wildcards)
        ],
        checks=lambda wildcards: [
            PLAN.table("checks", corpus, "development") for corpus in vocabulary_corpora(wildcards)
        ],
    output:
        vocabulary="results/{corpus}/vocabulary/{vocabulary}.json",
    log:
        "results/{corpus}/logs/build_vocabulary/{vocabulary}.log",
    benchmark:
        "results/{corpus}/benchmarks/build_vocabulary/{vocabulary}.tsv"
    group:
        "tables"
    conda:
        "../../envs/captioner.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        settings=lambda wildcards: config["vocabularies"][wildcards.vocabulary],
        corpora=vocabulary_corpora,
        code=source_digest("build_vocabulary", "results/{corpus}/vocabulary/{vocabulary}.json"),
    message:
        "Vocabulary {wildcards.vocabulary}"
    script:
        "../scripts/build_vocabulary.py"


rule embed_words:
    input:
        unpack(word_vectors_sources),
        vocabulary=vocabulary_file,
    output:
        vectors="results/{corpus}/word_embeddings/{system}.safetensors",
    log:
        "results/{corpus}/logs/embed_words/{system}.log",
    benchmark:
        "results/{corpus}/benchmarks/embed_words/{system}.tsv"
    conda:
        "../../envs/captioner.yaml"
    threads: 1  # word2vec with several threads differs from run to run
    resources:
        mem_mb=memory(2000),  # files are streamed; a BERT has 1.3 GB
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        settings=word_vectors_settings,
        n_values=lambda wildcards: PLAN.word_values(wildcards.system),
        code=source_digest(
            "embed_words",
            "results/{corpus}/word_embeddings/{system}.safetensors",
            word_vectors_module,
        ),
    message:
        "Word vectors of {wildcards.system}"
    script:
        "../scripts/embed_words.py"
