export function startCameras() {}
export function showCameras() {}
