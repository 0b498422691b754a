export async function startVideos() { return false; }
