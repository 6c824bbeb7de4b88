{
  # One static library per instruction set over the same sources: gyp has no flags per file.
  "variables": {
    "loops": ["<!@(node tools/native.cjs sources native)"],
    "core": ["<!@(node tools/native.cjs sources native/core)"],
    "flags": ["<!@(node tools/native.cjs flags common)"],
    "native_tests": "<!(node tools/native.cjs has test/native)",
    "openssl_fips": ""
  },
  "target_defaults": {
    "cflags!": ["-fno-exceptions"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20", "-std=c++20"],
    "cflags_cc": ["<@(flags)"],
    "xcode_settings": {
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
      "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "MACOSX_DEPLOYMENT_TARGET": "11.0",
      "OTHER_CPLUSPLUSFLAGS": ["-ffp-contract=off"]
    },
    "msvs_settings": { "VCCLCompilerTool": { "ExceptionHandling": 1, "AdditionalOptions": ["/std:c++17"] } },
    "conditions": [["target_arch=='x64' and OS=='linux'", { "defines": ["SOFTLANE_X86_KERNELS"] }]]
  },
  "conditions": [
    ["target_arch=='x64' and OS=='linux'", {
      "variables": { "isas": ["softlane_scalar", "softlane_avx2", "softlane_avx512"] },
      "targets": [
        {
          "target_name": "softlane_avx2",
          "type": "static_library",
          "sources": ["<@(loops)"],
          "defines": ["ISA=avx2"],
          "cflags_cc": ["<!@(node tools/native.cjs flags avx2)"]
        },
        {
          "target_name": "softlane_avx512",
          "type": "static_library",
          "sources": ["<@(loops)"],
          "defines": ["ISA=avx512"],
          "cflags_cc": ["<!@(node tools/native.cjs flags avx512)"]
        }
      ]
    }, { "variables": { "isas": ["softlane_scalar"] } }],
    ["native_tests=='yes'", {
      "targets": [
        {
          "target_name": "softlane_test",
          "type": "executable",
          "sources": ["<!@(node tools/native.cjs sources test/native)"],
          "dependencies": ["softlane_scalar"],
          "conditions": [
            ["target_arch=='x64' and OS=='linux'", { "dependencies": ["softlane_avx2", "softlane_avx512"] }],
            ["OS=='linux'", { "ldflags": ["-pthread"] }]
          ]
        }
      ]
    }]
  ],
  "targets": [
    {
      "target_name": "softlane_scalar",
      "type": "static_library",
      "sources": ["<@(loops)", "<@(core)"],
      "defines": ["ISA=scalar", "SOFTLANE_OPERATIONS"],
      "cflags_cc": ["<!@(node tools/native.cjs flags scalar)"]
    },
    {
      "target_name": "softlane",
      "sources": ["<!@(node tools/native.cjs sources bindings)"],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8"],
      "cflags_cc": ["<!@(node tools/native.cjs flags bindings)"],  # a reader of arguments for each operation, none in a hurry
      "dependencies": ["<@(isas)"],
      # The pool's threads outlive every environment: the library must never be unloaded under them.
      "conditions": [["OS=='linux'", { "ldflags": ["-Wl,-z,nodelete", "-Wl,--exclude-libs,ALL", "-pthread"] }]]
    }
  ]
}
