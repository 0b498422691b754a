"""Run a network: an engine takes an input array and returns the raw heads.

    keras         the .h5 as Keras runs it: the reference, and the one for a GPU
    litert        the network compiled for TensorFlow's CPU runtime: starts and runs several times as fast
    openvino      the same compiled network, run by OpenVINO
    onnxruntime   the network as ONNX, run by ONNX Runtime

All but `keras` compile a network once and keep the result in the user's cache folder (`cache`, `compiling`).
"""
