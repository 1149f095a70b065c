// The accumulator memory, a bank for each column; column c does everything c cycles later. What stands in the input register, which is the
// last register of the array, is in the accumulators. It can be read 1 + WRITE_TO_READ cycles later.
module accumulators #(
  parameter COLUMNS = 4,
  parameter DEPTH = 1024,
  parameter WRITE_TO_READ = 1,
  parameter WIDTH = 32,
  parameter ADDRESS_BITS = 16
) (
  input clk,
  // Sums that begin anew are 0.
  input read_zero,
  input [ADDRESS_BITS-1:0] read_address,
  output [COLUMNS*WIDTH-1:0] read_data,
  // The input register holds a sum for this address.
  input write_valid,
  input [ADDRESS_BITS-1:0] write_address,
  input [COLUMNS*WIDTH-1:0] write_data
);
  localparam ENTRY = 1 + ADDRESS_BITS + WIDTH;

  reg [WIDTH-1:0] cells [0:DEPTH*COLUMNS-1];

  genvar c;
  generate
    for (c = 0; c < COLUMNS; c = c + 1) begin : bank
      wire zero, valid;
      wire [ADDRESS_BITS-1:0] from, to;
      delay #(.CYCLES(c), .WIDTH(1 + ADDRESS_BITS)) delay_read(.clk(clk), .in({read_zero, read_address}), .out({zero, from}));
      delay #(.CYCLES(c), .WIDTH(1 + ADDRESS_BITS)) delay_write(.clk(clk), .in({write_valid, write_address}), .out({valid, to}));
      assign read_data[c*WIDTH +: WIDTH] = zero ? 0 : cells[from * COLUMNS + c];

      wire [ENTRY-1:0] oldest;
      delay #(.CYCLES(WRITE_TO_READ), .WIDTH(ENTRY)) delay_entry(.clk(clk), .in({valid, to, write_data[c*WIDTH +: WIDTH]}), .out(oldest));
      always @(posedge clk) if (oldest[ENTRY-1]) cells[oldest[WIDTH +: ADDRESS_BITS] * COLUMNS + c] <= oldest[WIDTH-1:0];
    end
  endgenerate
endmodule
