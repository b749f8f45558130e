"""The files of MultiPL-E: 18 languages, HumanEval and MBPP, each with the digest of its rows.

The Hub has Parquet; the digest covers name, prompt, tests and stop tokens of every problem, so that
JSON lines with the same problems in a folder of the user's pass as well.
"""

from evolcoder.bench.fetch import HUB, DataFile

FIELDS = ("name", "prompt", "tests", "stop_tokens")
"""What of a row is used, and what the digest covers."""
REVISION = "28441b6024e71d4a1c1c0f6bf171c935cd5a43f2"
"""Commit of the data set on the Hub."""
DIGESTS = {
    "humaneval-cpp": "4f7391979d1cc74c8890f1c05cdb8607544529e75df5ebf65f331991125f1f80",
    "humaneval-cs": "adfebb333f5304e7b521c0a7ace5a4557997cc2d4623c69dea4440e9447c23df",
    "humaneval-d": "61dd39c3bbb6bbab8fa6f76d542b02f21e116f089a793edda39e9c96463a3a03",
    "humaneval-go": "d7d223fb2a7c005c717880967d579f4f5c9ac66fb2e2a445b6ca24782f189026",
    "humaneval-java": "fa4c7094dfe763c6a0f174ccd842bfead47bd77017c1831aef204c38644fa680",
    "humaneval-jl": "5397b46b0544ef46ad00447f76143d1e09d7f82932d59d859a2b5f9cc3e4ae13",
    "humaneval-js": "76acd55b51d7c9f36906045ae7e581ab6c989bc5513ac4535a54cb57e9d64b2b",
    "humaneval-lua": "394f38f6f25e19971b56a76c6624cf73726de9c2325f972f352f8488cd66e314",
    "humaneval-php": "97885a12c184e12c761670ee3a842c8e23d5c775cc7955a0e8eaafd51dd097a7",
    "humaneval-pl": "d5c4866695465d448e0a8ec366d764ce00de6924676ebdc05c0dc55dce711a05",
    "humaneval-r": "e71c5f148e252f683badb581d4f05581af5d3e735486cf022f6dd50920e0a844",
    "humaneval-rb": "92f05c8d9a2addbca7812c38d28ba2fd7d655125f27e17d4418093b61f68ccda",
    "humaneval-rkt": "75af2358b4fb0fa5b2203f74e4b6665749a25d324720c2ed0f3bac6535d54632",
    "humaneval-rs": "86eb5537a90f0879786d18676463c5932e02acc85414c6856d15e1a67499d17e",
    "humaneval-scala": "5a4c7e5d8f15f45cbee769058df6ac1d416cebdb08b98e6fa551b1cace07cdce",
    "humaneval-sh": "721c2aef6477a4610acb66ea77e3cdf8ab9427bb28960ea976d3383e8233367e",
    "humaneval-swift": "55a4f8f133694709fb0f44253f14077fde6601c4730fd323d838457e4ef92c86",
    "humaneval-ts": "b084fed7b672eed48eea11e91080a6c5726e540231b8904961ac0331490c2c7f",
    "mbpp-cpp": "5cfce4c2b89101d5a93e86c83f0eed03f75eebb5ef1ac524662037116f3129ce",
    "mbpp-cs": "25bc29e908d578b1e1f1982973564cb33ef9321a73dfc84b936aede61605076d",
    "mbpp-d": "d5f40a7295448d3a677c1e57fa7ad6943669e87426884f17cc6e4a4212fc4909",
    "mbpp-go": "aff652b26bb1f1e3a04a690d42ba0813e7796699345cd4fc48d26fa7a99c8d2e",
    "mbpp-java": "c841e4ecf3b249a256f25664710700c2c65176d72289212a3b179ac47f3c5dcb",
    "mbpp-jl": "14ad3cad73b662195ca016556fef791ba1569c4c9465f898fe4c552fe0fb351a",
    "mbpp-js": "7735c25b5605c5035ae3576c34a7bc6ef273cdde4b1665bf9a07e775417017ec",
    "mbpp-lua": "f1fb9e68024b2b6450b93add352973d73cdd0d454b8a0b1ed13ee5accfdc600e",
    "mbpp-php": "cf886e3957553b989919aef4491abc471bd6e204dbcec028938074a81124eccb",
    "mbpp-pl": "5591a9a94d535819d5d8d5496712dc2d900291e29a3128bbecd563d9149e235c",
    "mbpp-r": "49c4fb226a9ed26a7a6a502219eb2ebc152841121f761857b013eb5250e6f6e1",
    "mbpp-rb": "cf87ef6aeb1a6f72c1799e91868922ed5ddc6c6f01932cfa56ad0f4b0a03e7f7",
    "mbpp-rkt": "5dbe81cf16d40a814863955fe5ba932d92f1c457c06b14f23e59cf4f0ca0f7e0",
    "mbpp-rs": "9085880b33437dd62f645485de5c7fa048a93ad159c413836514172691d1f317",
    "mbpp-scala": "de5626073de019f562228a8a8c49f8608d72884d3c0a584b418e1fcdeacfba5e",
    "mbpp-sh": "a0ffd415da5a539f32fd65e610905b0d45b62875f319036fb8a613b0099784e3",
    "mbpp-swift": "7fd1723e6f79db86f84766ad9e5e0b4666c8abf755eaaf8dc1b4da500de718a0",
    "mbpp-ts": "266bb4b35d1cd676df33c82be5fae2319e865466a1398bac56e588a96eedd90f",
}
"""Configuration of the data set -> digest of its rows."""


def file_of(name: str) -> DataFile:
    """Return the file of a configuration such as `humaneval-rs`."""
    return DataFile(
        f"multipl-e/{name}.jsonl.gz",
        f"{HUB}/datasets/nuprl/MultiPL-E/resolve/{REVISION}/{name}/test-00000-of-00001.parquet",
        DIGESTS[name],
        FIELDS,
    )
