/** @file What the units throw when values make an instruction impossible; the device turns it into E0501 with the place. */

export class DeviceFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = "DeviceFault";
  }
}
