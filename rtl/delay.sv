// Row i and column i of a systolic array take the same stream i cycles later: one of these stands before each.
module delay #(
  parameter CYCLES = 1,
  parameter WIDTH = 32
) (
  input clk,
  input [WIDTH-1:0] in,
  output [WIDTH-1:0] out
);
  generate
    if (CYCLES == 0) assign out = in;
    else begin : registers
      reg [CYCLES*WIDTH-1:0] line;
      always @(posedge clk) line <= {line, in};
      assign out = line[(CYCLES-1)*WIDTH +: WIDTH];
    end
  endgenerate
endmodule
